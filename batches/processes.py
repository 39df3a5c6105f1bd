"""Ending processes that were started beside this one."""

import subprocess

STOP_SECONDS = 10.0


def stop_process(process: "subprocess.Popen[str]") -> None:
    """Ask a process to end, make it after ten seconds, and close what it wrote to."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()

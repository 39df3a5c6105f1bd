"""What became of an answer about a chat, for a person."""

from translations.chats.models import Analysis


def explain_analysis(item_id: int, session: str) -> list[str]:
    lines = []
    for row in Analysis.objects.filter(session_id=int(session), item_id=item_id):
        codes = ", ".join(finding["code"] for finding in row.findings) or "none"
        lines += [
            f"Analysis {row.number} of chat session {session} was made of it: "
            f"automatic checks {row.score} of 100, findings: {codes}.",
            f"{row.category}, {row.sentiment}, {row.resolution}, escalation "
            f"{row.escalation}: {row.content['summary']}",
        ]
    return lines

"""Pages at /my/ for everybody who may sign in: own runs, own results, own keys.

They look like the desk and stand outside of it; whoever asks for what is another's is
told that there is no such thing.
"""

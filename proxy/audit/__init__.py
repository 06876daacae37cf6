"""The audit log: JSON lines, each with the hash of the one before, one file and one writer per worker.

What may be recorded is in `records`, how records hang together in `chain`, the file and its writer in `log`. What is
decided, and when, is not known here.
"""

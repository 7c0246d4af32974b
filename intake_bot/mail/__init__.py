"""The email edge: mail in over SMTP and LMTP, its reading, and mail out."""

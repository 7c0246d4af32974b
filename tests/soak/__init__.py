"""What proves the mail edge beside real mail servers and over minutes, not in a test's second: ``make soak``."""

"""What lies beside graflow: readers of other people's formats. Nothing else imports this package."""

"""What every command shares: errors with exit statuses, log lines, locks and manifests."""

"""The durable tier: snapshots as files, found again after a restart."""

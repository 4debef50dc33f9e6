"""What the layouts that cloud-init reads have in common: its user-data, vendor-data and receipt."""

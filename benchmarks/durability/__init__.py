"""What is left when writers, files, disks, environments and runs fail, and what it costs to be prepared."""

"""What SREs edit, read and checked: files, mistakes, settings, prices."""

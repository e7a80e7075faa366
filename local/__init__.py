"""What recipes share: corpora, downloads, made speech."""

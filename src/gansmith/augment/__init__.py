"""What is done to images before a critic sees them, real and made ones alike."""

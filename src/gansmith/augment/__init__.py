"""What is done to images before a critic sees them, real and generated ones alike."""

"""What is known of images: labels, attributes, captions, landmarks, licences, splits."""

"""What is known of pictures: labels, attributes, captions, landmarks, licences, splits."""

"""Ways through the latent space of a trained model."""

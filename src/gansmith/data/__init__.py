"""Images and what is known of them: reading, preparing, inspecting, loading."""

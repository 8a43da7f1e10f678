"""What a trained model is for: emotions of recordings, features as a table, a scikit-learn transformer."""

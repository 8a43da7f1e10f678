"""Sharing through the Hugging Face Hub: models, corpora and Spaces, each as one commit that is compared afterwards."""

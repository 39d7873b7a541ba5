"""The formats of all topics for programs in any language: JSON Schemas and an AsyncAPI document, made of the models."""

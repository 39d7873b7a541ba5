"""The API's questions as tools for assistants, by the Model Context Protocol. Only this folder imports its SDK."""

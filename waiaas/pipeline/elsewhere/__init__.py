"""What an agent's key and its spenders do on a chain without this process."""

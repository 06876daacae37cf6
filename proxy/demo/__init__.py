"""`midstream demo`: a tour over real TLS against a loopback stand-in provider."""

"""Does this certificate chain prove what the demand asks for?"""

"""Rules for moderation chains; Mailman finds them here."""

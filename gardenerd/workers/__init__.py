"""Child processes: what they are asked, how they are kept, and what runs inside them."""

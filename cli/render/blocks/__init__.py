"""What a thread shows: messages, commands, patches and notes, as blocks of text and pictures."""

"""What a person reads of results: a folder per command, and what they share.

Shared are the terminal (`console`, `console_table`, `layout`), files (`export`, `plots`), and the
library of blocks of HTML pages (`html`), which knows no command.
"""

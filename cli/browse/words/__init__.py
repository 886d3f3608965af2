"""The words of the picker: its keys, and the filters that are typed into its search box."""

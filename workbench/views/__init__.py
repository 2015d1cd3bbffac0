"""Views draw layers and tables: one file a medium. Nothing here loads anything from another machine."""

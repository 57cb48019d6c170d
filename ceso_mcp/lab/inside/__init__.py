"""Programs that run by themselves inside the make-believe host: standard library only, no imports of ceso."""

"""Operations on address pools."""

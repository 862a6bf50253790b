@0xd8a2c4f1b6e39075;

interface Echo {
  echo @0 (body :Data) -> (body :Data);
}

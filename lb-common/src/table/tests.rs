mod host;
mod interleave;
mod model;
mod place;
mod race;
mod turns;

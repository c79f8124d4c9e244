//! Running zfs-sync as operators do: as users who are not root, through sudo, behind a restricted key, for systems without an agent. On
//! real OpenZFS 2.3 (`nas1`, `nas2`) and 2.1 (`old`), with a witness outside.

mod beds;
mod delegation;
mod executor;
mod gate;
mod holds;

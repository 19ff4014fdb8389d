//! The stores of the services, for commands that see to all of them.

use waypost_durable::transfer::Content;
use waypost_durable::{Migrator, Storage};

/// A store, wherever it is kept.
#[derive(Clone, Copy)]
pub(crate) struct StoreOf {
    /// What brings it to the schema of this program.
    pub(crate) migrator: fn(&Storage) -> Box<dyn Migrator>,
    /// What of it is moved. Its name is the role's.
    pub(crate) content: &'static Content,
}

/// Every store.
pub(crate) const STORES: [StoreOf; 6] = [
    StoreOf { migrator: waypost_order::store::migrator, content: &waypost_order::store::CONTENT },
    StoreOf { migrator: waypost_user::store::migrator, content: &waypost_user::store::CONTENT },
    StoreOf { migrator: waypost_inventory::store::migrator, content: &waypost_inventory::store::CONTENT },
    StoreOf { migrator: waypost_payment::store::migrator, content: &waypost_payment::store::CONTENT },
    StoreOf { migrator: waypost_provider::store::migrator, content: &waypost_provider::store::CONTENT },
    StoreOf {
        migrator: waypost_notification::store::migrator,
        content: &waypost_notification::store::CONTENT,
    },
];

/// Whether what is kept there goes with the process.
pub(crate) fn is_ephemeral(storage: &Storage) -> bool {
    matches!(storage, Storage::Embedded(files) if files.are_ephemeral())
}

/// The names of all stores.
pub(crate) fn names() -> Vec<&'static str> {
    STORES.iter().map(|store| store.content.name).collect()
}

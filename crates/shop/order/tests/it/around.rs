//! A store around another one, for tests in which some units go wrong.

/// Implements [`waypost_order::store::Store`] for a wrapper: the two units of an order's saga as they are written here, all else
/// as the store in this field does it.
macro_rules! store_around {
    ($wrapper:ty, $inner:ident, { $($units:tt)* }) => {
        impl waypost_order::store::Store for $wrapper {
            $($units)*

            crate::around::handed_on! { $inner;
                placed_before(key: waypost_durable::idempotency::Key)
                    -> Option<waypost_order::store::Placed>;
                find(id: waypost_api::OrderId, viewer: waypost_order::domain::Viewer)
                    -> Option<waypost_order::domain::Order>;
                page(
                    user: waypost_api::UserId,
                    viewer: waypost_order::domain::Viewer,
                    after: Option<waypost_order::domain::Cursor>,
                    max: u32
                ) -> Vec<waypost_order::domain::Order>;
                cancel(id: waypost_api::OrderId, viewer: waypost_order::domain::Viewer)
                    -> Option<waypost_order::store::Cancelling>;
                take_over(id: waypost_api::OrderId, runner: String, lasts: std::time::Duration)
                    -> Option<waypost_order::store::Taken>;
                reload(id: waypost_api::OrderId, epoch: waypost_durable::Epoch)
                    -> Option<waypost_order::store::Taken>;
                unfinished(max: u32) -> Vec<waypost_order::store::Unfinished>;
                end_leases(node: String) -> ();
                renew(
                    held: Vec<(waypost_api::OrderId, waypost_durable::Epoch)>,
                    lasts: std::time::Duration
                ) -> Vec<waypost_api::OrderId>;
                purge_keys() -> usize;
                token_key() -> waypost_order::domain::TokenKey;
                delete_ended(kept: waypost_order::store::Kept) -> usize;
                history(id: waypost_api::OrderId) -> Vec<waypost_order::domain::Move>;
                ping() -> ();
            }

            fn outbox(&self) -> std::sync::Arc<dyn waypost_durable::outbox::Outbox> {
                self.$inner.outbox()
            }

            fn operator(&self) -> std::sync::Arc<dyn waypost_order::store::operator::OperatorStore> {
                self.$inner.operator()
            }

            fn close(&self) -> waypost_durable::BoxFuture<'_, ()> {
                self.$inner.close()
            }
        }
    };
}

/// Methods that are handed on.
macro_rules! handed_on {
    ($inner:ident; $($method:ident($($name:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        fn $method(&self $(, $name: $type)*) -> waypost_order::store::Answer<'_, $answer> {
            self.$inner.$method($($name),*)
        }
    )*};
}

pub(crate) use {handed_on, store_around};

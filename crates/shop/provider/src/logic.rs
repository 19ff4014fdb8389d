//! The provider's use cases: names the request and hands it to the store as one unit.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::domain::{Charge, Operation};
use crate::store::{Answer, Command, Late, Store, Totals, WorkedOff};

/// The provider, without its transport.
#[derive(Clone, Debug)]
pub struct Provider {
    store: Arc<dyn Store>,
}

impl Provider {
    /// A provider on this store.
    pub fn new(store: Arc<dyn Store>) -> Provider {
        Provider { store }
    }

    /// Carries an operation out, once for each key.
    ///
    /// # Errors
    /// A rule's refusal, or the store's failure; nothing was written then.
    pub async fn execute(&self, key: String, operation: Operation) -> Result<Answer, Error> {
        let command = Command { fingerprint: fingerprint(&operation), key, operation };
        self.store.execute(command).await
    }

    /// Takes an operation on and has it carried out later, if the key has no answer yet. Tells whether it was put off.
    ///
    /// # Errors
    /// The store's failure; nothing was put off then.
    pub async fn put_off(&self, key: String, operation: Operation, by: Duration) -> Result<bool, Error> {
        let command = Command { fingerprint: fingerprint(&operation), key, operation };
        self.store.put_off(command, by).await
    }

    /// What was put off and is not done.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn put_off_work(&self) -> Result<Vec<Late>, Error> {
        self.store.put_off_work().await
    }

    /// Does what was put off under this key. `None` when there is nothing, or a rule refuses it.
    ///
    /// # Errors
    /// The store's failure; it is put off still.
    pub async fn work_off(&self, key: String) -> Result<Option<WorkedOff>, Error> {
        self.store.work_off(key).await
    }

    /// A charge by its id.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn charge(&self, id: String) -> Result<Option<Charge>, Error> {
        self.store.charge(id).await
    }

    /// The charges that the merchant gave this reference, oldest first.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn by_reference(&self, reference: String) -> Result<Vec<Charge>, Error> {
        self.store.by_reference(reference).await
    }

    /// What the ledger adds up to.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn totals(&self) -> Result<Totals, Error> {
        self.store.totals().await
    }
}

/// What makes two requests different. The id of a new charge and its fate are the provider's own and are left out.
fn fingerprint(operation: &Operation) -> Vec<u8> {
    let parts: Vec<String> = match operation {
        Operation::Charge(new) => vec![
            "charge".into(),
            new.reference.clone(),
            new.payment_method.clone(),
            new.amount.ten_thousandths().to_string(),
            new.currency.as_str().into(),
        ],
        Operation::Capture { id } => vec!["capture".into(), id.clone()],
        Operation::Void { id } => vec!["void".into(), id.clone()],
        Operation::Refund { id, amount } => {
            vec!["refund".into(), id.clone(), amount.ten_thousandths().to_string()]
        }
    };
    // No part can hold the separator: ids, tokens and numbers have no control characters.
    Sha256::digest(parts.join("\u{1f}").as_bytes()).to_vec()
}

//! A payment service that says no when a test wants it to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use waypost_api::payment::v1::payment_service_server::{PaymentService, PaymentServiceServer};
use waypost_api::payment::v1::{
    AuthorizeRequest, CaptureRequest, GetPaymentRequest, Payment, PaymentState, RefundRequest, VoidRequest,
};
use waypost_api::{Currency, Error, ErrorCode, Money, MoneyMessage};

/// What it does, and what it did.
#[derive(Debug, Default)]
pub struct Script {
    /// Says that a capture was refused, and makes it all the same.
    pub denies_the_capture: bool,
    /// Refuses to give an authorisation up.
    pub refuses_voids: bool,
    /// Refuses to give money back.
    pub refuses_refunds: bool,
    /// The keys of the refunds that it was asked for.
    pub refund_keys: Vec<String>,
    payments: HashMap<String, Payment>,
}

/// A running payment service. It ends when it is dropped.
#[derive(Debug)]
pub struct Payments {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    _runtime: Runtime,
}

impl Payments {
    pub fn start() -> Payments {
        let script = Arc::<Mutex<Script>>::default();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service = PaymentServiceServer::new(Service { script: Arc::clone(&script) });
        let server = Server::builder().add_service(service);
        drop(runtime.spawn(server.serve_with_incoming(TcpIncoming::from(listener))));
        Payments { address, script, _runtime: runtime }
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }
}

struct Service {
    script: Arc<Mutex<Script>>,
}

#[expect(clippy::unnecessary_wraps, reason = "the form that a message takes")]
fn dollars(ten_thousandths: i64) -> Option<MoneyMessage> {
    Some(Money::new(ten_thousandths, Currency::USD).into())
}

type Answer = Result<Response<Payment>, Status>;

impl Service {
    /// Changes the payment of an order, which must be there.
    fn change(
        &self,
        order: &str,
        change: impl FnOnce(&mut Script, &mut Payment) -> Result<(), ErrorCode>,
    ) -> Answer {
        let mut script = self.script.lock().unwrap();
        let found = script.payments.get(order).cloned();
        let mut payment = found.ok_or_else(|| Status::from(Error::of(ErrorCode::PaymentNotFound)))?;
        let changed = change(&mut script, &mut payment);
        script.payments.insert(order.to_owned(), payment.clone());
        changed.map(|()| Response::new(payment)).map_err(|code| Error::of(code).into())
    }
}

#[tonic::async_trait]
impl PaymentService for Service {
    async fn authorize(&self, request: Request<AuthorizeRequest>) -> Answer {
        let request = request.into_inner();
        let payment = Payment {
            order_id: request.order_id.clone(),
            state: PaymentState::Authorized.into(),
            captured: dollars(0),
            refunded: dollars(0),
            authorized: request.amount,
            transaction_id: "ch_test".to_owned(),
            ..Payment::default()
        };
        self.script.lock().unwrap().payments.insert(request.order_id, payment.clone());
        Ok(Response::new(payment))
    }

    async fn capture(&self, request: Request<CaptureRequest>) -> Answer {
        self.change(&request.get_ref().order_id, |script, payment| {
            payment.set_state(PaymentState::Captured);
            payment.captured.clone_from(&payment.authorized);
            if script.denies_the_capture { Err(ErrorCode::PaymentConflict) } else { Ok(()) }
        })
    }

    async fn void(&self, request: Request<VoidRequest>) -> Answer {
        self.change(&request.get_ref().order_id, |script, payment| {
            if script.refuses_voids {
                return Err(ErrorCode::PaymentConflict);
            }
            payment.set_state(PaymentState::Voided);
            Ok(())
        })
    }

    async fn refund(&self, request: Request<RefundRequest>) -> Answer {
        let request = request.into_inner();
        self.change(&request.order_id, |script, payment| {
            script.refund_keys.push(request.key);
            if script.refuses_refunds {
                return Err(ErrorCode::PaymentConflict);
            }
            let of = |money: &Option<MoneyMessage>| money.as_ref().unwrap().ten_thousandths;
            payment.refunded = dollars(of(&payment.refunded) + of(&request.amount));
            if payment.refunded == payment.captured {
                payment.set_state(PaymentState::Refunded);
            }
            Ok(())
        })
    }

    async fn get_payment(&self, request: Request<GetPaymentRequest>) -> Answer {
        self.change(&request.get_ref().order_id, |_, _| Ok(()))
    }
}

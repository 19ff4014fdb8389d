//! The gRPC interface over real sockets, with the traces it leaves.

use crate::{
    provider::{FakeProvider, Mood},
    world::{AMOUNT, config, dollars},
};
use std::{net::SocketAddr, time::Duration};
use tonic::{Code, Status};
use waypost_api::{
    Error, ErrorCode, Money,
    payment::v1::{
        AuthorizeRequest, CaptureRequest, GetPaymentRequest,
        PaymentState::{Authorized, Captured, Refunded, Voided},
        RefundRequest, VoidRequest,
        payment_service_client::PaymentServiceClient,
    },
};
use waypost_durable::Storage;
use waypost_payment::{Parts, build};
use waypost_service::health::Health;
use waypost_service::{Drain, DrainTrigger, Limits, bind, serve};
use waypost_telemetry::{
    grpc::TracedChannel,
    span,
    testing::{TestTelemetry, wait_for_tree},
    with_context,
};

struct Running {
    telemetry: TestTelemetry,
    provider_telemetry: TestTelemetry,
    provider: FakeProvider,
    client: PaymentServiceClient<TracedChannel>,
    _trigger: DrainTrigger,
}

async fn start() -> Running {
    let telemetry = TestTelemetry::new("payment-service");
    let provider_telemetry = TestTelemetry::new("payment-provider");
    let provider = FakeProvider::traced(provider_telemetry.handle());
    let parts = Parts { telemetry: telemetry.handle().clone(), storage: Storage::ephemeral() };
    let app = build(&config(&provider), parts).await.unwrap();
    telemetry.forget();
    let health = Health::default();
    health.add("payment", app.checks.clone());
    health.started();
    health.check_once().await;
    assert!(health.is_ready(), "{}", health.report());
    assert!(telemetry.finished_spans().is_empty(), "a readiness check leaves no span");
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let target = listener.url();
    let (trigger, drain) = Drain::new();
    waypost_telemetry::spawn(serve(listener, app.router, Limits::default(), drain));
    let client = PaymentServiceClient::new(telemetry.grpc_channel(&target).unwrap());
    Running { telemetry, provider_telemetry, provider, client, _trigger: trigger }
}

impl Running {
    /// Runs calls as one trace and compares it.
    async fn trace(
        &mut self,
        calls: impl AsyncFnOnce(&mut PaymentServiceClient<TracedChannel>),
        expected: &str,
    ) {
        let work = async { span("place-order").observe(calls(&mut self.client)).await };
        with_context(self.telemetry.context(), work).await;
        let trace = self.telemetry.only_span("place-order").trace_id().to_string();
        let handles = [self.telemetry.handle(), self.provider_telemetry.handle()];
        wait_for_tree(&handles, &trace, expected, Duration::from_secs(10)).await;
    }
}

fn authorize(payment_method: &str) -> AuthorizeRequest {
    AuthorizeRequest {
        order_id: "one".to_owned(),
        key: "one:authorize:1".to_owned(),
        user_id: "user123".to_owned(),
        amount: Some(dollars(AMOUNT).into()),
        payment_method: payment_method.to_owned(),
        lease_epoch: 1,
    }
}

fn euros(ten_thousandths: i64) -> Money {
    Money::new(ten_thousandths, "EUR".parse().unwrap())
}

fn capture() -> CaptureRequest {
    CaptureRequest { order_id: "one".to_owned(), key: "one:capture:1".to_owned(), lease_epoch: 1 }
}

fn void() -> VoidRequest {
    VoidRequest { order_id: "one".to_owned(), key: "one:void:1".to_owned(), lease_epoch: 1 }
}

fn refund(amount: i64) -> RefundRequest {
    RefundRequest {
        order_id: "one".to_owned(),
        key: "one:refund:1".to_owned(),
        amount: Some(dollars(amount).into()),
        lease_epoch: 1,
    }
}

#[tokio::test]
async fn a_payment_and_its_trace_through_to_the_provider() {
    let mut running = start().await;
    let calls = async |client: &mut PaymentServiceClient<TracedChannel>| {
        let authorized = client.authorize(authorize("pm_card_ok")).await.unwrap().into_inner();
        assert_eq!((authorized.state(), authorized.transaction_id.as_str()), (Authorized, "ch_1"));
        let amounts = (authorized.authorized, authorized.captured);
        assert_eq!(amounts, (Some(dollars(AMOUNT).into()), Some(dollars(0).into())));
        let captured = client.capture(capture()).await.unwrap().into_inner();
        assert_eq!((captured.state(), captured.captured), (Captured, Some(dollars(AMOUNT).into())));
    };
    let expected = "
place-order INTERNAL payment-service
  waypost.payment.v1.PaymentService/Authorize CLIENT payment-service
    waypost.payment.v1.PaymentService/Authorize SERVER payment-service order.id=one
      SELECT payments; SELECT voided_orders; INSERT payments CLIENT payment-service
      authorize-payment INTERNAL payment-service payment.amount=99.99 payment.transaction_id=ch_1
        POST /v1/charges CLIENT payment-service http.response.status_code=200
          POST /v1/charges SERVER payment-provider
        SELECT payments; UPDATE payments CLIENT payment-service
  waypost.payment.v1.PaymentService/Capture CLIENT payment-service
    waypost.payment.v1.PaymentService/Capture SERVER payment-service order.id=one
      SELECT payments CLIENT payment-service
      capture-charge INTERNAL payment-service payment.amount=99.99 payment.transaction_id=ch_1
        POST /v1/charges/{id}/capture CLIENT payment-service http.response.status_code=200
          POST /v1/charges/{id}/capture SERVER payment-provider
        SELECT payments; UPDATE payments; INSERT ledger_entries CLIENT payment-service
";
    running.trace(calls, expected).await;
    for seen in running.provider.seen() {
        assert!(seen.headers.contains_key("traceparent"), "{seen:?}");
        assert!(!seen.headers.contains_key("baggage"), "{seen:?}");
    }
}

#[tokio::test]
async fn a_decline_is_shown_where_it_happened_and_is_no_failure_of_ours() {
    let mut running = start().await;
    let calls = async |client: &mut PaymentServiceClient<TracedChannel>| {
        let declined = client.authorize(authorize("pm_card_declined")).await.unwrap_err();
        assert_eq!(declined.code(), Code::FailedPrecondition);
        let error = Error::from_status(&declined);
        assert_eq!(error.code, ErrorCode::PaymentDeclined);
        assert_eq!(error.provider_code.as_deref(), Some("insufficient_funds"));
    };
    let expected = "
place-order INTERNAL payment-service
  waypost.payment.v1.PaymentService/Authorize CLIENT payment-service ERROR rpc.response.status_code=FAILED_PRECONDITION
    waypost.payment.v1.PaymentService/Authorize SERVER payment-service order.id=one
      SELECT payments; SELECT voided_orders; INSERT payments CLIENT payment-service
      authorize-payment INTERNAL payment-service payment.provider_code=insufficient_funds
        POST /v1/charges CLIENT payment-service
          POST /v1/charges SERVER payment-provider
        SELECT payments; UPDATE payments CLIENT payment-service
";
    running.trace(calls, expected).await;
}

#[tokio::test]
async fn an_outcome_that_is_not_known_may_be_asked_for_again() {
    let mut running = start().await;
    running.provider.is_next(Mood::SilentAfter);
    let open = running.client.authorize(authorize("pm_card_ok")).await.unwrap_err();
    assert_eq!(open.code(), Code::Unavailable);
    assert_eq!(Error::from_status(&open).code, ErrorCode::PaymentUnknown);
    // What went wrong inside is on the span and in the log, not in the answer.
    assert!(!open.message().contains("provider did not answer"), "{open:?}");
    let known = running.client.authorize(authorize("pm_card_ok")).await.unwrap().into_inner();
    assert_eq!(known.state(), Authorized);
    assert_eq!(running.provider.charges().len(), 1);
}

#[tokio::test]
async fn a_void_without_an_authorisation_is_answered_and_remembered() {
    let mut running = start().await;
    for _ in 0..2 {
        let voided = running.client.void(void()).await.unwrap().into_inner();
        assert_eq!((voided.state(), voided.order_id.as_str()), (Voided, "one"));
    }
    let late = running.client.authorize(authorize("pm_card_ok")).await.unwrap_err();
    assert_eq!(Error::from_status(&late).code, ErrorCode::PaymentConflict);
    assert!(running.provider.seen().is_empty());
}

#[tokio::test]
async fn a_payment_can_be_looked_up_and_refunded() {
    let mut running = start().await;
    let lookup = GetPaymentRequest { order_id: "one".to_owned() };
    let none = running.client.get_payment(lookup.clone()).await.unwrap_err();
    assert_eq!(Error::from_status(&none).code, ErrorCode::PaymentNotFound);
    running.client.authorize(authorize("pm_card_ok")).await.unwrap();
    running.client.capture(capture()).await.unwrap();
    let too_much = running.client.refund(refund(AMOUNT + 1)).await.unwrap_err();
    assert_eq!(Error::from_status(&too_much).code, ErrorCode::RefundTooLarge);
    let euros = RefundRequest { amount: Some(euros(AMOUNT).into()), ..refund(AMOUNT) };
    let other_currency = running.client.refund(euros).await.unwrap_err();
    assert_eq!(Error::from_status(&other_currency).code, ErrorCode::InvalidRequest);
    running.client.refund(refund(AMOUNT)).await.unwrap();
    let payment = running.client.get_payment(lookup).await.unwrap().into_inner();
    assert_eq!((payment.state(), payment.refunded), (Refunded, Some(dollars(AMOUNT).into())));
    assert!(payment.updated_at.is_some());
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let mut running = start().await;
    let pointers = |status: Status| {
        let error = Error::from_status(&status);
        assert_eq!(error.code, ErrorCode::InvalidRequest);
        error.fields.into_iter().map(|field| field.pointer).collect::<Vec<_>>()
    };
    let empty = running.client.authorize(AuthorizeRequest::default()).await.unwrap_err();
    assert_eq!(pointers(empty), ["/order_id", "/key", "/user_id", "/amount", "/payment_method"]);
    let no_key = CaptureRequest { key: "one".to_owned(), ..capture() };
    assert_eq!(pointers(running.client.capture(no_key).await.unwrap_err()), ["/key"]);
    assert_eq!(
        pointers(running.client.void(VoidRequest::default()).await.unwrap_err()),
        ["/order_id", "/key"]
    );
    let nothing = running.client.refund(refund(0)).await.unwrap_err();
    assert_eq!(pointers(nothing), ["/amount"]);
    let nobody = running.client.get_payment(GetPaymentRequest::default()).await.unwrap_err();
    assert_eq!(pointers(nobody), ["/order_id"]);
    assert!(running.provider.seen().is_empty());
}

#[tokio::test]
async fn a_runner_that_was_replaced_moves_no_money() {
    let mut running = start().await;
    let stale = |status: Status| {
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(Error::from_status(&status).code, ErrorCode::StaleRunner);
    };
    running.client.authorize(authorize("pm_card_ok")).await.unwrap();
    // The capture is the first that the second runner asks for.
    running.client.capture(CaptureRequest { lease_epoch: 2, ..capture() }).await.unwrap();
    let asked = running.provider.seen().len();
    for lease_epoch in [0, 1] {
        let late = AuthorizeRequest { lease_epoch, ..authorize("pm_card_ok") };
        stale(running.client.authorize(late).await.unwrap_err());
        stale(running.client.capture(CaptureRequest { lease_epoch, ..capture() }).await.unwrap_err());
        stale(running.client.void(VoidRequest { lease_epoch, ..void() }).await.unwrap_err());
        stale(running.client.refund(RefundRequest { lease_epoch, ..refund(AMOUNT) }).await.unwrap_err());
    }
    assert_eq!(running.provider.seen().len(), asked, "the provider was not asked");
    let lookup = GetPaymentRequest { order_id: "one".to_owned() };
    let payment = running.client.get_payment(lookup).await.unwrap().into_inner();
    assert_eq!((payment.state(), payment.refunded), (Captured, Some(dollars(0).into())));

    let second = RefundRequest { lease_epoch: 2, ..refund(AMOUNT) };
    assert_eq!(running.client.refund(second).await.unwrap().into_inner().state(), Refunded);
}

#[tokio::test]
async fn an_authorisation_of_a_runner_before_the_void_is_told_so() {
    let mut running = start().await;
    running.client.void(VoidRequest { lease_epoch: 2, ..void() }).await.unwrap();
    let late = running.client.authorize(authorize("pm_card_ok")).await.unwrap_err();
    assert_eq!(Error::from_status(&late).code, ErrorCode::StaleRunner);
    let own = AuthorizeRequest { lease_epoch: 2, ..authorize("pm_card_ok") };
    let forbidden = running.client.authorize(own).await.unwrap_err();
    assert_eq!(Error::from_status(&forbidden).code, ErrorCode::PaymentConflict);
    assert!(running.provider.seen().is_empty());
}

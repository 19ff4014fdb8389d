//! Service B: payments over gRPC on port 8081.

use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tracing::info;
use two_services::payment::payment_service_server::{PaymentService, PaymentServiceServer};
use two_services::payment::{DESCRIPTORS, PaymentRequest, PaymentResponse};
use two_services::{ORDER_ID, PAYMENT_AMOUNT, PAYMENT_TRANSACTION_ID};
use two_services::{asked_to_stop, listen, start_telemetry, stop_telemetry};
use uuid::Uuid;
use waypost_telemetry::grpc::Methods;
use waypost_telemetry::{set, span};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let telemetry = start_telemetry("payment-service")?;
    let listener = listen("SERVICE_B_ADDR", "127.0.0.1:8081").await?;
    info!("Service B (Payment) starting on :{}...", listener.local_addr()?.port());
    Server::builder()
        // Every call becomes a SERVER span in the trace of its caller.
        .layer(telemetry.grpc_server().methods(Methods::of_descriptor_set(DESCRIPTORS)?))
        .add_service(PaymentServiceServer::new(Payments))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), asked_to_stop())
        .await?;
    stop_telemetry(&telemetry).await;
    Ok(())
}

struct Payments;

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn process_payment(
        &self,
        request: Request<PaymentRequest>,
    ) -> Result<Response<PaymentResponse>, Status> {
        let PaymentRequest { order_id, amount } = request.into_inner();
        let transaction_id = span("Payment Processing")
            .attr(ORDER_ID, order_id)
            .attr(PAYMENT_AMOUNT, amount.clone())
            .run(async { take(&amount) })
            .await?;
        Ok(Response::new(PaymentResponse { success: true, transaction_id }))
    }
}

/// Stands for the work of a real payment service.
fn take(amount: &str) -> Result<String, Status> {
    let is_decimal = amount.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_positive = is_decimal && amount.parse::<f64>().is_ok_and(|amount| amount > 0.0);
    if !is_positive {
        return Err(Status::invalid_argument("the amount is no positive decimal"));
    }
    let transaction_id = format!("txn-{}", Uuid::now_v7());
    set(PAYMENT_TRANSACTION_ID, transaction_id.clone());
    Ok(transaction_id)
}

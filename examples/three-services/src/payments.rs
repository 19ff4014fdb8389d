//! Payments over gRPC on port 8082. A card that begins with `4000` is refused.

use three_services::shop::payments_server::{Payments, PaymentsServer};
use three_services::shop::{ChargeRequest, ChargeResponse, DESCRIPTORS};
use three_services::{ORDER_ID, asked_to_stop, listen};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use uuid::Uuid;
use waypost_telemetry::grpc::Methods;
use waypost_telemetry::{set, traced};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let telemetry = waypost_telemetry::start("payment-service")?;
    let listener = listen("payments", "127.0.0.1:8082").await?;
    Server::builder()
        .layer(telemetry.grpc_server().methods(Methods::of_descriptor_set(DESCRIPTORS)?))
        .add_service(PaymentsServer::new(Cards))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), asked_to_stop())
        .await?;
    Ok(())
}

struct Cards;

#[tonic::async_trait]
impl Payments for Cards {
    async fn charge(&self, request: Request<ChargeRequest>) -> Result<Response<ChargeResponse>, Status> {
        let ChargeRequest { order_id, cents, card } = request.into_inner();
        set(ORDER_ID, order_id);
        set("payment.cents", i64::try_from(cents).unwrap_or(i64::MAX));
        let transaction_id = authorise(&card)?;
        Ok(Response::new(ChargeResponse { transaction_id }))
    }
}

/// Stands for the bank. The card is no attribute: what is secret stays out of spans.
#[traced]
fn authorise(card: &str) -> Result<String, Status> {
    if card.starts_with("4000") {
        return Err(Status::failed_precondition("the card was refused"));
    }
    Ok(format!("txn-{}", Uuid::now_v7()))
}

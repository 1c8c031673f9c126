//! As whom a container is used. A signature is part of the address; everybody else shows a token with each request.

use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::http::headers::AUTHORIZATION;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{ClientOptions, Context, Request, Transport};
use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};

use super::refusal::{Asker, Kind, Refusal};
use super::transport;
use crate::cause::chain;
use crate::config::{Config, SignIn};
use crate::entra;
use crate::stage::StageError;

/// What a token is asked for: blobs, of whichever account.
pub(super) const SCOPE: &str = "https://storage.azure.com/.default";
/// The endpoint that gives a machine its tokens is on that machine, or on its host.
const NEAR: Duration = Duration::from_secs(3);

/// What tokens come from; none where a signature is used.
pub(super) fn credential(config: &Config, sign_in: &SignIn) -> Result<Option<Arc<dyn TokenCredential>>, StageError> {
    match sign_in {
        SignIn::Sas(_) => Ok(None),
        SignIn::Managed(client_id) => managed(client_id.as_deref()).map(Some),
        SignIn::App => app(config).map(Some),
    }
}

/// The app registration's, which a configuration that names it has.
fn app(config: &Config) -> Result<Arc<dyn TokenCredential>, StageError> {
    let refused =
        |problem: String| Refusal::new("the app registration of [entra]", "signing in", Kind::SignIn, problem);
    let entra = config.entra.as_ref().ok_or_else(|| refused("there is no section [entra]".to_owned()))?;
    let sign_in = entra::SignIn::new(entra).map_err(|error| refused(chain(&error)))?;
    Ok(Arc::new(sign_in))
}

fn managed(client_id: Option<&str>) -> Result<Arc<dyn TokenCredential>, StageError> {
    let transport = Transport::new(Arc::new(transport::near(NEAR)?));
    let options = ManagedIdentityCredentialOptions {
        user_assigned_id: client_id.map(|id| UserAssignedId::ClientId(id.to_owned())),
        client_options: ClientOptions { transport: Some(transport), ..ClientOptions::default() },
    };
    match ManagedIdentityCredential::new(Some(options)) {
        Ok(credential) => Ok(credential),
        Err(error) => Err(Refusal::of(&error, "managed identity", "signing in", Asker::Managed).into()),
    }
}

/// Shows the token. The SDK's own policy refuses to without TLS, loopback included, where tests listen; which addresses may
/// be without is settled by the configuration.
#[derive(Debug)]
pub(super) struct Bearer(pub Arc<dyn TokenCredential>);

#[async_trait::async_trait]
impl Policy for Bearer {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let token = self.0.get_token(&[SCOPE], None).await?;
        request.insert_header(AUTHORIZATION, format!("Bearer {}", token.token.secret()));
        let [first, rest @ ..] = next else { return Err(nothing_follows()) };
        first.send(ctx, request, rest).await
    }
}

/// Of a pipeline's last policy, which sends.
pub(super) fn nothing_follows() -> azure_core::Error {
    azure_core::Error::with_message(azure_core::error::ErrorKind::Other, "the pipeline has no transport")
}

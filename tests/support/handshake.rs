//! The server's side of an SSH handshake in the open, so that it can be done wrong: libraries show the key that they sign
//! with, of the kind that was agreed on, and the same one for ever.
#![expect(clippy::missing_errors_doc, reason = "each fails where the line does")]

use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey as Exchange, UnparsedPublicKey, X25519, agree};
use russh::keys::PrivateKey;
use russh::keys::signature::Signer;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::Signature;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OUR_ID: &[u8] = b"SSH-2.0-rude";
const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;
const KEX_INIT: u8 = 30;
const KEX_REPLY: u8 = 31;

/// A connection whose client was greeted.
pub struct Handshake {
    stream: TcpStream,
    their_id: Vec<u8>,
    /// The first exchange hash names the session.
    session: Option<Vec<u8>>,
    inward: Option<Direction>,
    outward: Option<Direction>,
}

/// AES-256-GCM one way (RFC 5647).
struct Direction {
    key: LessSafeKey,
    nonce: [u8; 12],
}

impl Direction {
    fn next(&mut self) -> Nonce {
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let counter = u64::from_be_bytes(self.nonce[4..].try_into().unwrap()) + 1;
        self.nonce[4..].copy_from_slice(&counter.to_be_bytes());
        nonce
    }
}

/// A length and bytes.
pub fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// A packet that is not encrypted.
pub fn clear(payload: &[u8]) -> Vec<u8> {
    padded(payload, 8, 5)
}

/// `counted` bytes stand before the payload where the length must be a multiple of a block's.
fn padded(payload: &[u8], block: usize, counted: usize) -> Vec<u8> {
    let padding = 4 + (block - (payload.len() + counted + 4) % block);
    let length = u32::try_from(payload.len() + padding + 1).unwrap();
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend(payload);
    packet.extend(vec![0; padding]);
    packet
}

/// What a key exchange begins with, for these kinds of host key and this compression.
pub fn kexinit(kinds: &str, compression: &str) -> Vec<u8> {
    let lists = [
        "curve25519-sha256",
        kinds,
        "aes256-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-256",
        compression,
        compression,
        "",
        "",
    ];
    let lists = lists.iter().flat_map(|list| string(list.as_bytes()));
    [KEXINIT].into_iter().chain([7; 16]).chain(lists).chain([0; 5]).collect()
}

fn mpint(bytes: &[u8]) -> Vec<u8> {
    let bytes = &bytes[bytes.iter().position(|byte| *byte > 0).unwrap_or(bytes.len())..];
    let sign = if bytes.first().is_some_and(|first| *first > 127) { &[0][..] } else { &[] };
    string(&[sign, bytes].concat())
}

impl Handshake {
    /// Both say who they are.
    pub async fn begin(mut stream: TcpStream) -> io::Result<Self> {
        stream.write_all(&[OUR_ID, b"\r\n"].concat()).await?;
        let mut their_id = Vec::new();
        while !their_id.ends_with(b"\n") {
            their_id.push(stream.read_u8().await?);
        }
        let their_id = their_id.trim_ascii_end().to_vec();
        Ok(Self { stream, their_id, session: None, inward: None, outward: None })
    }

    /// The payload of the next packet.
    pub async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let length = self.stream.read_u32().await?;
        let tag = if self.inward.is_some() { 16 } else { 0 };
        let mut bytes = vec![0; length as usize + tag];
        self.stream.read_exact(&mut bytes).await?;
        if let Some(direction) = &mut self.inward {
            let nonce = direction.next();
            direction.key.open_in_place(nonce, Aad::from(length.to_be_bytes()), &mut bytes).unwrap();
        }
        let padding = usize::from(bytes[0]);
        Ok(bytes[1..length as usize - padding].to_vec())
    }

    /// The next packet of this kind; others are passed over.
    pub async fn await_packet(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        loop {
            let payload = self.receive().await?;
            if payload.first() == Some(&kind) {
                return Ok(payload);
            }
        }
    }

    /// Sends a packet.
    pub async fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        let Some(direction) = &mut self.outward else { return self.stream.write_all(&clear(payload)).await };
        let mut packet = padded(payload, 16, 1);
        let nonce = direction.next();
        let (length, content) = packet.split_at_mut(4);
        let tag = direction.key.seal_in_place_separate_tag(nonce, Aad::from(&*length), content).unwrap();
        packet.extend(tag.as_ref());
        self.stream.write_all(&packet).await
    }

    /// A key exchange that shows one key and signs with another, having agreed on these kinds.
    pub async fn exchange(&mut self, kinds: &str, shown: &PrivateKey, signer: &PrivateKey) -> io::Result<()> {
        let ours = kexinit(kinds, "none");
        self.send(&ours).await?;
        let theirs = self.await_packet(KEXINIT).await?;
        let point = self.await_packet(KEX_INIT).await?.split_off(5);
        let secret = Exchange::generate(&X25519).unwrap();
        let public = secret.compute_public_key().unwrap();
        let peer = UnparsedPublicKey::new(&X25519, &point);
        let shared = agree(&secret, peer, io::Error::other("no agreement"), |bytes| Ok(mpint(bytes)))?;
        let key = shown.public_key().to_bytes().unwrap();
        let parts = [&self.their_id[..], OUR_ID, &theirs, &ours, &key, &point, public.as_ref()];
        let hashed = [parts.map(string).concat(), shared.clone()].concat();
        let hash = Sha256::digest(hashed).to_vec();
        let signature: Signature = signer.key_data().try_sign(&hash).unwrap();
        let mut signature_bytes = Vec::new();
        signature.encode(&mut signature_bytes).unwrap();
        let reply = [&[KEX_REPLY][..], &string(&key), &string(public.as_ref()), &string(&signature_bytes)].concat();
        self.send(&reply).await?;
        self.send(&[NEWKEYS]).await?;
        self.await_packet(NEWKEYS).await?;
        self.renew(&shared, &hash);
        Ok(())
    }

    fn renew(&mut self, shared: &[u8], hash: &[u8]) {
        let session = self.session.get_or_insert_with(|| hash.to_vec());
        let derive = |letter: u8| Sha256::digest([shared, hash, &[letter], session].concat());
        let direction = |nonce: u8, key: u8| Direction {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &derive(key)).unwrap()),
            nonce: derive(nonce)[..12].try_into().unwrap(),
        };
        (self.inward, self.outward) = (Some(direction(b'A', b'C')), Some(direction(b'B', b'D')));
    }

    /// A request that no client knows, which each that still listens refuses.
    pub async fn ask(&mut self) -> io::Result<()> {
        self.send(&[&[80][..], &string(b"anyone@home"), &[1]].concat()).await?;
        self.await_packet(82).await.map(drop)
    }

    /// Lets the client in, whatever it shows.
    pub async fn let_in(&mut self) -> io::Result<()> {
        self.await_packet(5).await?;
        self.send(&[&[6][..], &string(b"ssh-userauth")].concat()).await?;
        self.await_packet(50).await?;
        self.send(&[52]).await
    }
}

//! What a lying site does before there is SSH, and to the line that it runs over.

use std::io;
use std::time::Duration;

use russh::keys::key::safe_rng;
use russh::keys::{Algorithm, EcdsaCurve, PrivateKey};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::net::TcpStream;

use super::handshake::{Handshake, clear, kexinit, string};
use super::lies::{Dice, Lie};
use super::packets::HOSTILE;

const ALL_KINDS: &str = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256";
const ID: &[u8] = b"SSH-2.0-rude\r\n";
/// Longer than any client waits that is worth testing; it ends with the server.
const FOR_EVER: Duration = Duration::from_hours(1);

/// Speaks to a client until it leaves. Only what the client sees of it matters.
pub async fn insult(mut stream: TcpStream, lie: Lie, mut dice: Dice) {
    let _ = match lie {
        Lie::KeyOfAnotherKind => key_exchange(stream, true).await,
        Lie::KeyNotItsOwn => key_exchange(stream, false).await,
        _ => speak(&mut stream, lie, &mut dice).await,
    };
}

/// Shows a key of a kind that was not agreed on, or one that it has not got.
async fn key_exchange(stream: TcpStream, is_its_own: bool) -> io::Result<()> {
    let other = Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 };
    let shown = PrivateKey::random(&mut safe_rng(), other.clone()).unwrap();
    let stranger = PrivateKey::random(&mut safe_rng(), other).unwrap();
    let mut handshake = Handshake::begin(stream).await?;
    handshake.exchange(ALL_KINDS, &shown, if is_its_own { &shown } else { &stranger }).await?;
    handshake.receive().await.map(drop)
}

async fn speak(stream: &mut TcpStream, lie: Lie, dice: &mut Dice) -> io::Result<()> {
    let noise: Vec<u8> = (0..=dice.below(2000)).map(|_| dice.roll().to_le_bytes()[0]).collect();
    match lie {
        Lie::HungUp => return Ok(()),
        Lie::EndlessBanner => loop {
            stream.write_all(format!("welcome {HOSTILE}\r\n").as_bytes()).await?;
        },
        Lie::LongBanner => loop {
            stream.write_all(&[b'w'; 4096]).await?;
        },
        Lie::Garbage => stream.write_all(&noise).await?,
        Lie::OldProtocol => stream.write_all(b"SSH-1.5-old\r\n").await?,
        Lie::IdThenSilent => stream.write_all(ID).await?,
        Lie::HugePacket => stream.write_all(&[ID, &[0xff; 64]].concat()).await?,
        Lie::EmptyPacket => stream.write_all(&[ID, &[0; 64]].concat()).await?,
        Lie::EndlessIgnores => {
            stream.write_all(ID).await?;
            loop {
                stream.write_all(&clear(&[&[2][..], &string(&vec![0; 20_000])].concat())).await?;
            }
        }
        Lie::KexThenSilent => stream.write_all(&[ID, &clear(&kexinit(ALL_KINDS, "none"))].concat()).await?,
        Lie::KexOfNothing => stream.write_all(&[ID, &clear(&kexinit("", "none"))].concat()).await?,
        Lie::KexOfZip => {
            stream.write_all(&[ID, &clear(&kexinit(ALL_KINDS, "zlib,zlib@openssh.com"))].concat()).await?;
        }
        Lie::KexOfHostileNames => {
            let names = format!("\u{1b}[2J\r\n2026-11-19T00:00:00Z  INFO well,{}", "n".repeat(2000));
            stream.write_all(&[ID, &clear(&kexinit(&names, "none"))].concat()).await?;
        }
        Lie::KexGarbage => stream.write_all(&[ID, &clear(&[&[20][..], &noise].concat())].concat()).await?,
        Lie::EarlyFarewell => {
            let farewell = [&[1, 0, 0, 0, 2][..], &string(HOSTILE.repeat(50).as_bytes()), &string(b"en")].concat();
            stream.write_all(&[ID, &clear(&farewell)].concat()).await?;
        }
        Lie::ReplyGarbage => {
            let reply = clear(&[&[31][..], &noise].concat());
            stream.write_all(&[ID, &clear(&kexinit(ALL_KINDS, "none")), &reply].concat()).await?;
        }
        _ => {}
    }
    // What the client says is heard, so that nothing is reset under it.
    let mut ignored = [0; 4096];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

/// The line to an honest server, with one flaw in what comes from the server: a bit, an end, a silence.
pub fn flawed(client: TcpStream, lie: Lie, mut dice: Dice) -> DuplexStream {
    let (server, ours) = duplex(1 << 16);
    let ((from_client, to_client), (from_server, to_server)) = (split(client), split(ours));
    // Half of the flaws lie in the key exchange, the first two or three thousand bytes.
    let end = dice.pick(&[3000, 200_000]);
    let at = dice.below(end);
    tokio::spawn(carry(from_client, to_server, usize::MAX, Lie::CutLine, 0));
    tokio::spawn(carry(from_server, to_client, at, lie, dice.below(8)));
    server
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, at: usize, lie: Lie, bit: usize) {
    let (mut carried, mut block) = (0, [0; 4096]);
    while let Ok(read @ 1..) = from.read(&mut block).await {
        let flaw = at.checked_sub(carried).filter(|within| *within < read);
        carried += read;
        match (flaw, lie) {
            (Some(within), Lie::FlippedBit) => block[within] ^= 1 << bit,
            (Some(_), Lie::DeafLine) => tokio::time::sleep(FOR_EVER).await,
            (Some(_), _) => break,
            (None, _) => {}
        }
        if to.write_all(&block[..read]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

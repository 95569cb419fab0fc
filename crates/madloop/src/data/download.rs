//! Downloads: from mirror to mirror, resumed where they broke off, checked before they count.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Agent;

use super::catalog::{CHECK_WRITE, DataDir, RemoteSet, create_folder, info, read_checked};
use super::weights::{MAX_WEIGHTS, WeightsSet};
use crate::{Error, Result};

/// How often one mirror is asked to go on with a download that broke off.
const ATTEMPTS: u32 = 4;
/// A mirror may take this long to accept, to answer, and to send something.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Fetches a data set or weights into NAME/ of the first data folder, and returns that folder. Files that are there and right are kept.
///
/// The mirrors are tried in turn, or `base_url_override` alone if it is given (the files' names are appended to it). A
/// download that breaks off is kept as FILE.gz.part and resumed, now or by the next call. The checksum of the unpacked
/// bytes decides whether it is renamed to FILE.gz or deleted. `progress` is told the file, the bytes
/// there, and the bytes in all where the server says so.
///
/// # Errors
/// [`Error::Setting`] if the name is not known or needs no download; [`Error::Download`] if no mirror helps (it says what
/// to put where by hand); [`Error::Io`] if the folder cannot be written.
pub fn get(
    name: &str,
    dirs: &DataDir,
    base_url_override: Option<&str>,
    progress: &dyn Fn(&str, u64, Option<u64>),
) -> Result<PathBuf> {
    if let Some(set) = WeightsSet::of_name(name) {
        return get_weights(set, dirs, base_url_override, progress);
    }
    let entry = info(name, dirs)?;
    let set = RemoteSet::of_name(entry.name).ok_or_else(|| Error::Setting {
        key: format!("data set {name:?}"),
        why: "is part of madloop".to_owned(),
        remedy: "use it; there is nothing to download".to_owned(),
    })?;
    get_set(set, dirs, base_url_override, progress)
}

fn get_set(
    set: &RemoteSet,
    dirs: &DataDir,
    base_url_override: Option<&str>,
    progress: &dyn Fn(&str, u64, Option<u64>),
) -> Result<PathBuf> {
    let home = dirs.home_of(set.name)?;
    create_folder(&home)?;
    let mirrors: Vec<&str> = base_url_override.map_or_else(|| set.mirrors.to_vec(), |base| vec![base]);
    for file in &set.files {
        let name = format!("{}.gz", file.name);
        let there = [home.join(file.name), home.join(&name)];
        if !there.iter().any(|path| path.is_file() && read_checked(path, file).is_ok()) {
            let urls = mirrors.iter().map(|mirror| format!("{}/{name}", mirror.trim_end_matches('/'))).collect();
            // gzip adds 18 bytes, a name, and 5 bytes a stored block: far less than this.
            let limit = file.bytes + file.bytes / 1000 + 4096;
            let check = |path: &Path| read_checked(path, file).map(drop);
            let wanted = Wanted { set: set.name, name: &name, urls, limit, check: &check };
            get_file(&wanted, &home, progress).map_err(|failure| failure.into_error(file.name, &set.by_hand(dirs)))?;
        }
    }
    Ok(home)
}

enum Failure {
    /// This machine failed.
    Local(Error),
    /// What each mirror answered.
    Mirrors(Vec<String>),
}

/// A file to fetch.
struct Wanted<'a> {
    /// What the mirrors are of.
    set: &'a str,
    /// Its name on disk.
    name: &'a str,
    urls: Vec<String>,
    /// Bytes that it may have.
    limit: u64,
    /// Whether what lies there is right.
    check: &'a dyn Fn(&Path) -> Result<()>,
}

fn get_file(
    wanted: &Wanted<'_>,
    home: &Path,
    progress: &dyn Fn(&str, u64, Option<u64>),
) -> std::result::Result<(), Failure> {
    let name = wanted.name;
    let part = home.join(format!("{name}.part"));
    let agent = agent();
    let mut answers = Vec::new();
    for url in &wanted.urls {
        for attempt in 1..=ATTEMPTS {
            let download = Download { agent: &agent, url, part: &part, limit: wanted.limit, name, progress };
            let had = fs::metadata(&part).map_or(0, |metadata| metadata.len());
            match download.fetch() {
                Ok(()) => match (wanted.check)(&part) {
                    Ok(()) => {
                        let path = home.join(name);
                        let renamed = fs::rename(&part, &path).map_err(Error::io("rename", &part, CHECK_WRITE));
                        return renamed.map_err(Failure::Local);
                    }
                    Err(error) => {
                        fs::remove_file(&part)
                            .map_err(Error::io("delete", &part, CHECK_WRITE))
                            .map_err(Failure::Local)?;
                        if had == 0 || attempt == ATTEMPTS {
                            answers.push(format!("{url}: {error}"));
                            break;
                        }
                        // What was resumed may have been another file: once more from its beginning.
                    }
                },
                Err(Stop::Local(error)) => return Err(Failure::Local(error)),
                Err(Stop::BrokeOff(_)) if attempt < ATTEMPTS => {}
                Err(Stop::BrokeOff(why) | Stop::Refused(why)) => {
                    answers.push(format!("{url}: {why}"));
                    break;
                }
            }
        }
    }
    if answers.is_empty() {
        answers.push(format!("{} has no mirror", wanted.set));
    }
    Err(Failure::Mirrors(answers))
}

impl Failure {
    fn into_error(self, file: &str, by_hand: &str) -> Error {
        match self {
            Self::Local(error) => error,
            Self::Mirrors(why) => {
                let remedy = format!("check the network and run it again to resume, or {by_hand}");
                Error::Download { file: file.to_owned(), why: why.join("; "), remedy }
            }
        }
    }
}

/// Fetches a network's weights.
fn get_weights(
    set: &WeightsSet,
    dirs: &DataDir,
    base_url_override: Option<&str>,
    progress: &dyn Fn(&str, u64, Option<u64>),
) -> Result<PathBuf> {
    let home = dirs.home_of(set.name)?;
    let name = set.files[0];
    if set.files.iter().any(|file| set.read_checked(&home.join(file)).is_ok()) {
        return Ok(home);
    }
    create_folder(&home)?;
    let urls = match base_url_override {
        Some(base) => vec![format!("{}/{name}", base.trim_end_matches('/'))],
        None => set.mirrors.iter().map(|&url| url.to_owned()).collect(),
    };
    let check = |path: &Path| set.read_checked(path).map(drop);
    let wanted = Wanted { set: set.name, name, urls, limit: set.bytes.unwrap_or(MAX_WEIGHTS), check: &check };
    get_file(&wanted, &home, progress).map_err(|failure| failure.into_error(name, &set.by_hand(dirs)))?;
    Ok(home)
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(TIMEOUT))
        .timeout_recv_response(Some(TIMEOUT))
        .timeout_per_read(Some(TIMEOUT))
        .max_redirects(5)
        .user_agent(concat!("madloop/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

enum Stop {
    /// Worth resuming.
    BrokeOff(String),
    /// Not worth asking again.
    Refused(String),
    /// This machine failed.
    Local(Error),
}

struct Download<'a> {
    agent: &'a Agent,
    url: &'a str,
    part: &'a Path,
    limit: u64,
    name: &'a str,
    progress: &'a dyn Fn(&str, u64, Option<u64>),
}

impl Download<'_> {
    /// Appends to the part what is missing.
    fn fetch(&self) -> std::result::Result<(), Stop> {
        let io = |action| move |error| Stop::Local(Error::io(action, self.part, CHECK_WRITE)(error));
        let limit = self.limit;
        let had = fs::metadata(self.part).map_or(0, |metadata| metadata.len());
        let mut request = self.agent.get(self.url);
        if had > 0 {
            request = request.header("Range", format!("bytes={had}-"));
        }
        let response = request.call().map_err(|error| Stop::Refused(error.to_string()))?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok().map(str::to_owned));
        let (mut done, mut out) = match response.status().as_u16() {
            206 if header("content-range").is_some_and(|range| range.starts_with(&format!("bytes {had}-"))) => {
                (had, OpenOptions::new().append(true).open(self.part).map_err(io("open"))?)
            }
            200 => (0, File::create(self.part).map_err(io("create"))?),
            // Nothing is missing, or the part is another file: the checksum tells.
            416 if had > 0 => return Ok(()),
            status => return Err(Stop::Refused(format!("the server answers with status {status}"))),
        };
        let length = header("content-length").and_then(|length| length.parse::<u64>().ok());
        let total = length.map(|length| done.saturating_add(length));
        let too_long = |bytes: u64| Stop::Refused(format!("it is {bytes} bytes or more; the limit is {limit}"));
        if let Some(total) = total.filter(|&total| total > limit) {
            return Err(too_long(total));
        }
        (self.progress)(self.name, done, total);
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = body.read(&mut buffer);
            let read = read.map_err(|error| Stop::BrokeOff(format!("broke off after {done} bytes: {error}")))?;
            if read == 0 {
                break;
            }
            done += read as u64;
            if done > limit {
                return Err(too_long(done));
            }
            out.write_all(&buffer[..read]).map_err(io("write"))?;
            (self.progress)(self.name, done, total);
        }
        out.sync_all().map_err(io("write"))?;
        match total {
            Some(total) if done < total => Err(Stop::BrokeOff(format!("broke off after {done} of {total} bytes"))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;

    use md5::{Digest, Md5};

    use super::*;
    use crate::data::catalog::{RemoteFile, hex};

    /// What a server does with the request of that number.
    #[derive(Clone, Copy, PartialEq)]
    enum Serve {
        Whole,
        /// Says the whole length, sends half of what is asked for, hangs up.
        Half,
        /// Sends zeros.
        Wrong,
        /// Status 503.
        Busy,
        /// Claims to be a terabyte.
        Huge,
    }

    /// A server that answers one request for each of `plan`, then stops; and what it was asked.
    fn serve(bytes: Vec<u8>, plan: &[Serve]) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}/sets", listener.local_addr().expect("an address"));
        let (tell, told) = mpsc::channel();
        let plan = plan.to_vec();
        std::thread::spawn(move || {
            for serve in plan {
                let Ok((stream, _)) = listener.accept() else { return };
                let request = answer(stream, &bytes, serve);
                let _ = tell.send(request);
            }
        });
        (address, told)
    }

    fn answer(mut stream: TcpStream, bytes: &[u8], serve: Serve) -> String {
        let mut lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
        let request = lines.next().expect("a request").expect("text");
        let mut from = 0;
        for line in lines.map_while(std::result::Result::ok).take_while(|line| !line.is_empty()) {
            if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
                from = range.trim_end_matches('-').parse().expect("a number");
            }
        }
        let rest = &bytes[from.min(bytes.len())..];
        let (status, range) = match (from, serve) {
            (_, Serve::Busy) => ("503 Busy", String::new()),
            (0, _) => ("200 OK", String::new()),
            (_, _) if rest.is_empty() => ("416 Range Not Satisfiable", String::new()),
            _ => {
                ("206 Partial Content", format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len()))
            }
        };
        let length = if serve == Serve::Huge { 1 << 40 } else { rest.len() };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{range}Connection: close\r\n\r\n");
        let body = match serve {
            Serve::Whole => rest.to_vec(),
            Serve::Half => rest[..rest.len() / 2].to_vec(),
            Serve::Wrong => vec![0; rest.len()],
            Serve::Busy | Serve::Huge => Vec::new(),
        };
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&body);
        format!("{request} from {from}")
    }

    const CONTENT: &[u8] = &[7; 100_000];

    fn packed() -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        encoder.write_all(CONTENT).expect("memory");
        encoder.finish().expect("memory")
    }

    /// A set of one file, four times.
    fn set() -> RemoteSet {
        let md5: &'static str = Box::leak(hex(&Md5::digest(CONTENT)).into_boxed_str());
        let file = || RemoteFile { name: "one", bytes: CONTENT.len() as u64, md5 };
        RemoteSet { name: "test", mirrors: &[], files: [file(), file(), file(), file()], system: &[] }
    }

    fn scene() -> (tempfile::TempDir, DataDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let dirs = DataDir::new(Some(folder.path().to_owned()), None, None);
        (folder, dirs)
    }

    fn fetch(dirs: &DataDir, base: &str) -> Result<PathBuf> {
        get_set(&set(), dirs, Some(base), &|_, _, _| {})
    }

    fn holds_the_file_alone(home: &Path) -> bool {
        let names: Vec<_> =
            fs::read_dir(home).expect("a folder").map(|entry| entry.expect("one").file_name()).collect();
        names == ["one.gz"] && read_checked(&home.join("one.gz"), &set().files[0]).is_ok()
    }

    #[test]
    fn a_whole_download_is_kept_and_not_repeated() {
        let (folder, dirs) = scene();
        let (base, told) = serve(packed(), &[Serve::Whole]);
        let seen = RefCell::new(Vec::new());
        let progress = |file: &str, done, total| seen.borrow_mut().push((file.to_owned(), done, total));
        let home = get_set(&set(), &dirs, Some(&base), &progress).expect("a download");
        assert_eq!(home, folder.path().join("test"));
        assert!(holds_the_file_alone(&home));
        assert_eq!(told.recv().expect("a request"), "GET /sets/one.gz HTTP/1.1 from 0");
        let n = packed().len() as u64;
        assert_eq!(seen.borrow().first(), Some(&("one.gz".to_owned(), 0, Some(n))));
        assert_eq!(seen.borrow().last(), Some(&("one.gz".to_owned(), n, Some(n))));
        // The server is gone, and nothing is asked of it.
        assert!(fetch(&dirs, &base).is_ok());
    }

    #[test]
    fn what_broke_off_is_resumed() {
        let (_folder, dirs) = scene();
        let (base, told) = serve(packed(), &[Serve::Half, Serve::Half, Serve::Whole]);
        assert!(holds_the_file_alone(&fetch(&dirs, &base).expect("a download")));
        let n = packed().len();
        let from: Vec<String> =
            told.iter().map(|request| request.rsplit(' ').next().expect("a number").to_owned()).collect();
        assert_eq!(from, ["0".to_owned(), (n / 2).to_string(), (n / 2 + (n - n / 2) / 2).to_string()]);
    }

    #[test]
    fn the_next_call_resumes_too() {
        let (folder, dirs) = scene();
        let (base, _told) = serve(packed(), &[Serve::Half, Serve::Busy]);
        let error = fetch(&dirs, &base).unwrap_err().to_string();
        assert!(error.contains("503") && error.contains("put one.gz"), "{error}");
        let part = folder.path().join("test/one.gz.part");
        assert_eq!(fs::metadata(&part).expect("a part").len(), packed().len() as u64 / 2);
        let (base, told) = serve(packed(), &[Serve::Whole]);
        assert!(holds_the_file_alone(&fetch(&dirs, &base).expect("a download")));
        assert!(told.recv().expect("a request").ends_with(&format!("from {}", packed().len() / 2)));
        // A part that was whole already.
        let home = folder.path().join("test");
        fs::rename(home.join("one.gz"), &part).expect("a part");
        let (base, _told) = serve(packed(), &[Serve::Whole]);
        assert!(holds_the_file_alone(&fetch(&dirs, &base).expect("nothing is missing")));
    }

    #[test]
    fn what_is_wrong_is_never_kept() {
        let (folder, dirs) = scene();
        let mut other = packed();
        other[50_000] = 8;
        let (base, _told) = serve(other, &[Serve::Whole]);
        let error = fetch(&dirs, &base).unwrap_err().to_string();
        assert!(error.contains("unpacked"), "{error}");
        // A valid gzip of other bytes.
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&[8; CONTENT.len()]).expect("memory");
        let (base, _told) = serve(encoder.finish().expect("memory"), &[Serve::Whole]);
        let error = fetch(&dirs, &base).unwrap_err().to_string();
        let md5s = [hex(&Md5::digest([8; CONTENT.len()])), hex(&Md5::digest(CONTENT))];
        assert!(md5s.iter().all(|md5| error.contains(md5)), "{error}");
        assert_eq!(fs::read_dir(folder.path().join("test")).expect("a folder").count(), 0);
        // A part of something else is begun again.
        fs::write(folder.path().join("test/one.gz.part"), [9; 100]).expect("a part");
        let (base, told) = serve(packed(), &[Serve::Whole, Serve::Whole]);
        assert!(holds_the_file_alone(&fetch(&dirs, &base).expect("a download")));
        let from: Vec<bool> = told.iter().map(|request| request.ends_with(" from 0")).collect();
        assert_eq!(from, [false, true]);
        fs::remove_file(folder.path().join("test/one.gz")).expect("gone");
        let (base, _told) = serve(packed(), &[Serve::Wrong]);
        assert!(fetch(&dirs, &base).is_err());
        let (base, _told) = serve(packed(), &[Serve::Huge]);
        let error = fetch(&dirs, &base).unwrap_err().to_string();
        assert!(error.contains("1099511627776") && error.contains("limit"), "{error}");
    }

    #[test]
    fn offline_says_what_to_put_where() {
        let (folder, dirs) = scene();
        // A port on which nobody listens.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let error = get("mnist", &dirs, Some(&format!("http://127.0.0.1:{port}")), &|_, _, _| {});
        let error = error.unwrap_err().to_string();
        assert!(error.contains("t10k-labels-idx1-ubyte.gz"), "{error}");
        assert!(error.contains(&folder.path().join("mnist").display().to_string()), "{error}");
        let error = get("digits8", &dirs, None, &|_, _, _| {}).unwrap_err().to_string();
        assert!(error.contains("nothing to download"), "{error}");
        assert!(get("cifar10", &dirs, None, &|_, _, _| {}).is_err());
    }
}

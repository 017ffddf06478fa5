// Holds the oracle to its word by net/http of Go, and is one: oracle.go call URL TARGET... | serve PORT [CERT KEY]
// with SSLKEYLOGFILE, as every client and server here.
package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
)

func hash(b []byte) string { sum := sha256.Sum256(b); return hex.EncodeToString(sum[:]) }

func content(target string, length int) []byte {
	return []byte(strings.Repeat(hash([]byte(target)), length/64+1)[:length])
}

func asked(target string) (int, url.Values) {
	u, _ := url.Parse(target)
	length, _ := strconv.Atoi(strings.Split(u.Path, "/")[2])
	return length, u.Query()
}

func number(q url.Values, name string, none int) int {
	if n, err := strconv.Atoi(q.Get(name)); err == nil {
		return n
	}
	return none
}

func settings() *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true}
	if name := os.Getenv("SSLKEYLOGFILE"); name != "" {
		c.KeyLogWriter, _ = os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	}
	if os.Getenv("TLS12") != "" {
		c.MaxVersion = tls.VersionTLS12
	}
	return c
}

// What answers without TLS; ../h2/clear.go has it speak HTTP/2.
var clear = func(h http.Handler) http.Handler { return h }

func serve(port, cert, key string) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		length, q := asked(r.RequestURI)
		w.Header().Set("x-got", fmt.Sprintf("%s %s %d %s", r.Method, r.RequestURI, len(got), hash(got)))
		body := content(r.RequestURI, length)
		if q.Has("trailers") {
			w.Header().Set("trailer", "x-sum")
		}
		w.WriteHeader(number(q, "status", 200))
		step := length/number(q, "pieces", 1) + 1
		for len(body) > 0 {
			n := step
			if n > len(body) {
				n = len(body)
			}
			w.Write(body[:n])
			w.(http.Flusher).Flush()
			body = body[n:]
		}
		if q.Has("trailers") {
			w.Header().Set("x-sum", hash(content(r.RequestURI, length)))
		}
	})
	s := &http.Server{Addr: "127.0.0.1:" + port, Handler: h, TLSConfig: settings()}
	if cert == "" {
		s.Handler = clear(h)
		s.ListenAndServe()
	}
	s.ListenAndServeTLS(cert, key)
}

func main() {
	if os.Args[1] == "serve" {
		pair := append(os.Args[3:], "", "")
		serve(os.Args[2], pair[0], pair[1])
		return
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: settings(), ForceAttemptHTTP2: true}}
	wait, places := sync.WaitGroup{}, make(chan bool, 5)
	for _, target := range os.Args[3:] {
		wait.Add(1)
		places <- true
		go func(target string) {
			defer func() { <-places; wait.Done() }()
			length, q := asked(target)
			method, body := "GET", io.Reader(nil)
			if n := number(q, "body", 0); n > 0 {
				method, body = "POST", bytes.NewReader(content(target, n))
			}
			r, _ := http.NewRequest(method, os.Args[2]+target, body)
			answer, err := c.Do(r)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			got, _ := io.ReadAll(answer.Body)
			if answer.StatusCode != number(q, "status", 200) || !bytes.Equal(got, content(target, length)) {
				fmt.Fprintln(os.Stderr, target, answer.StatusCode, len(got))
				os.Exit(1)
			}
		}(target)
	}
	wait.Wait()
}

// The calls of calls.py by gRPC of Go: calls call TARGET [CERT] | serve PORT [CERT KEY], with SSLKEYLOGFILE.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(d []byte, v interface{}) error {
	*v.(*[]byte) = append([]byte{}, d...)
	return nil
}
func (raw) Name() string   { return "proto" }
func (raw) String() string { return "proto" }

var sizes = []int{0, 1, 5, 100, 16379, 16380, 70000}

func content(name string, length int) []byte {
	sum := sha256.Sum256([]byte(name))
	return bytes.Repeat(sum[:], length/32+1)[:length]
}

func hash(all [][]byte) []byte { sum := sha256.Sum256(bytes.Join(all, nil)); return sum[:] }

func told(s grpc.ServerStream, got, said [][]byte) {
	octets := make([]byte, 256)
	for i := range octets {
		octets[i] = byte(i)
	}
	s.SetTrailer(metadata.Pairs("x-got", hex.EncodeToString(hash(got)), "x-said", hex.EncodeToString(hash(said)), "x-raw-bin", string(octets)))
}

func serve(_ interface{}, s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	name := method[len("/t.T/"):]
	var got, said [][]byte
	say := func(m []byte) error { said = append(said, m); return s.SendMsg(&m) }
	for {
		var m []byte
		if err := s.RecvMsg(&m); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		got = append(got, m)
		if name == "Chat" {
			say(m)
		}
	}
	switch name {
	case "Unary":
		say(append(append([]byte{}, got[0]...), '!'))
	case "Fail":
		return status.Error(codes.NotFound, "nothing of 100 % \u00fc")
	case "Slow":
		time.Sleep(time.Second)
		say(got[0])
	case "Down":
		for i, n := range sizes {
			say(content(fmt.Sprintf("down %d", i), n))
			time.Sleep(5 * time.Millisecond)
		}
	case "Endless":
		for i := 0; s.Context().Err() == nil; i++ {
			say([]byte(fmt.Sprintf("m%d", i)))
			time.Sleep(20 * time.Millisecond)
		}
	case "Up":
		say(hash(got))
	}
	told(s, got, said)
	return nil
}

func keys() io.Writer {
	if os.Getenv("SSLKEYLOGFILE") == "" {
		return nil
	}
	f, _ := os.OpenFile(os.Getenv("SSLKEYLOGFILE"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return f
}

func holds(right bool, what string) {
	if !right {
		fmt.Fprintln(os.Stderr, what)
		os.Exit(1)
	}
}

func main() {
	if os.Args[1] == "serve" {
		options := []grpc.ServerOption{grpc.CustomCodec(raw{}), grpc.UnknownServiceHandler(serve)}
		if len(os.Args) > 3 {
			pair, _ := tls.LoadX509KeyPair(os.Args[3], os.Args[4])
			c := &tls.Config{Certificates: []tls.Certificate{pair}, KeyLogWriter: keys()}
			options = append(options, grpc.Creds(credentials.NewTLS(c)))
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+os.Args[2])
		holds(err == nil, "listen")
		grpc.NewServer(options...).Serve(l)
		return
	}
	options := []grpc.DialOption{grpc.WithInsecure()}
	if len(os.Args) > 3 {
		c := &tls.Config{InsecureSkipVerify: true, KeyLogWriter: keys()}
		options = []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(c))}
	}
	call := []grpc.CallOption{grpc.ForceCodec(raw{})}
	if os.Getenv("GZIP") != "" {
		call = append(call, grpc.UseCompressor("gzip"))
	}
	c, err := grpc.Dial(os.Args[2], append(options, grpc.WithDefaultCallOptions(call...))...)
	holds(err == nil, "dial")
	unary := func(name string, asked []byte, limit time.Duration) ([]byte, error) {
		ctx, end := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), "k", "v", "b-bin", "\x00\xfe"), limit)
		defer end()
		var got []byte
		err := c.Invoke(ctx, "/t.T/"+name, &asked, &got)
		return got, err
	}
	for i := 0; i < 12; i++ {
		asked := content(fmt.Sprintf("u%d", i), i*700)
		got, err := unary("Unary", asked, 10*time.Second)
		holds(err == nil && bytes.Equal(got, append(append([]byte{}, asked...), '!')), "Unary")
	}
	_, err = unary("Fail", []byte("x"), 10*time.Second)
	holds(status.Code(err) == codes.NotFound, "Fail")
	_, err = unary("Slow", []byte("x"), 200*time.Millisecond)
	holds(status.Code(err) == codes.DeadlineExceeded, "Slow")
	stream := func(name string, said [][]byte, most int) (got [][]byte) {
		ctx, end := context.WithCancel(context.Background())
		defer end()
		s, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/t.T/"+name)
		holds(err == nil, name)
		for i := range said {
			holds(s.SendMsg(&said[i]) == nil, name)
		}
		s.CloseSend()
		for len(got) < most {
			var m []byte
			if s.RecvMsg(&m) != nil {
				break
			}
			got = append(got, m)
		}
		return got
	}
	for i, m := range stream("Down", [][]byte{[]byte("d")}, 100) {
		holds(bytes.Equal(m, content(fmt.Sprintf("down %d", i), sizes[i])), "Down")
	}
	var said [][]byte
	for i, n := range sizes {
		said = append(said, content(fmt.Sprintf("up %d", i), n))
	}
	holds(bytes.Equal(stream("Up", said, 2)[0], hash(said)), "Up")
	for i, m := range stream("Chat", said, 100) {
		holds(bytes.Equal(m, said[i]), "Chat")
	}
	holds(len(stream("Endless", [][]byte{[]byte("e")}, 4)) == 4, "Endless")
	time.Sleep(100 * time.Millisecond)
	done := make(chan bool)
	for i := 0; i < 20; i++ {
		go func(i int) {
			_, err := unary("Unary", []byte(fmt.Sprintf("f%d", i)), 10*time.Second)
			done <- err == nil
		}(i)
	}
	for i := 0; i < 20; i++ {
		holds(<-done, "side by side")
	}
	c.Close()
}

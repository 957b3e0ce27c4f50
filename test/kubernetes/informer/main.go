// A program as controllers are: Kubernetes' own client library, objects and answers in protobuf where the server has them, a
// cache that lists and watches. Says what it sees, a line each, and writes one object as such programs do.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	must(err)
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	must(err)
	ctx := context.Background()
	namespace := os.Args[2]

	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	secrets := factory.Core().V1().Secrets().Informer()
	data := func(object any) string { return string(object.(*corev1.Secret).Data["password"]) }
	secrets.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { fmt.Println("added", object.(*corev1.Secret).Name, data(object)) },
		UpdateFunc: func(_, object any) { fmt.Println("updated", object.(*corev1.Secret).Name, data(object)) },
		DeleteFunc: func(object any) { fmt.Println("deleted", object.(metav1.Object).GetName()) },
	})
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), secrets.HasSynced) {
		log.Fatal("no cache")
	}
	fmt.Println("synced")

	maps := client.CoreV1().ConfigMaps(namespace)
	made, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "informer"}, Data: map[string]string{"a": "b"}}, metav1.CreateOptions{})
	must(err)
	made.Data["a"] = "c"
	made.BinaryData = map[string][]byte{"raw": {0, 255}}
	_, err = maps.Update(ctx, made, metav1.UpdateOptions{})
	must(err)
	read, err := maps.Get(ctx, "informer", metav1.GetOptions{})
	must(err)
	fmt.Println("written", read.Data["a"], len(read.BinaryData["raw"]))
	must(maps.Delete(ctx, "informer", *metav1.NewDeleteOptions(0)))
	time.Sleep(time.Hour)
}

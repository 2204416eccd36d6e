package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
)

const (
	// provisioner is the name under which the simulator provisions volumes.
	provisioner       = "devcluster.aegis.io/simulated"
	labelManaged      = "devcluster.aegis.io/managed"
	defaultClassLabel = "storageclass.kubernetes.io/is-default-class"
	bindingName       = "devcluster-simulation"
)

// client talks to the API server as the administrator.
func (c *Cluster) client() (kubernetes.Interface, error) {
	settings, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, err
	}
	settings.QPS, settings.Burst = 200, 400
	return kubernetes.NewForConfig(settings)
}

// ensureRights lets KWOK and the simulator play every component there is.
func ensureRights(ctx context.Context, client kubernetes.Interface, do *changes) error {
	_, err := client.RbacV1().ClusterRoleBindings().Get(ctx, bindingName, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	return do.change("created ClusterRoleBinding "+bindingName, func() error {
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: bindingName},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects: []rbacv1.Subject{
				{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: users[leafKwok]},
				{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: users[leafSimulator]},
			},
		}
		_, err := client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
		return err
	})
}

// ensureStorage makes the storage classes equal to the configuration.
func (c *Cluster) ensureStorage(ctx context.Context, client kubernetes.Interface, do *changes) error {
	if err := ensureDriver(ctx, client, do); err != nil {
		return err
	}
	list, err := client.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{LabelSelector: labelManaged})
	if err != nil {
		return err
	}
	surplus := map[string]bool{}
	existing := map[string]storagev1.StorageClass{}
	for _, class := range list.Items {
		existing[class.Name], surplus[class.Name] = class, true
	}
	for _, wanted := range c.storageClasses() {
		delete(surplus, wanted.Name)
		if err := ensureClass(ctx, client, existing, wanted, do); err != nil {
			return err
		}
	}
	for name := range surplus {
		err := do.change("deleted StorageClass "+name, func() error {
			return client.StorageV1().StorageClasses().Delete(ctx, name, metav1.DeleteOptions{})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ensureDriver registers the simulated CSI driver as one that needs no attaching, as nobody would attach.
func ensureDriver(ctx context.Context, client kubernetes.Interface, do *changes) error {
	_, err := client.StorageV1().CSIDrivers().Get(ctx, "simulated.devcluster.aegis.io", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	return do.change("created CSIDriver simulated.devcluster.aegis.io", func() error {
		driver := &storagev1.CSIDriver{
			ObjectMeta: metav1.ObjectMeta{Name: "simulated.devcluster.aegis.io"},
			Spec:       storagev1.CSIDriverSpec{AttachRequired: ptr.To(false)},
		}
		_, err := client.StorageV1().CSIDrivers().Create(ctx, driver, metav1.CreateOptions{})
		return err
	})
}

func (c *Cluster) storageClasses() []*storagev1.StorageClass {
	var classes []*storagev1.StorageClass
	for _, wanted := range c.Config.StorageClasses {
		classes = append(classes, &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{
				Name:        wanted.Name,
				Labels:      map[string]string{labelManaged: "true"},
				Annotations: map[string]string{defaultClassLabel: fmt.Sprint(wanted.Default)},
			},
			Provisioner:          provisioner,
			ReclaimPolicy:        ptr.To(wanted.ReclaimPolicy),
			VolumeBindingMode:    ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
			AllowVolumeExpansion: ptr.To(true),
		})
	}
	return classes
}

func ensureClass(ctx context.Context, client kubernetes.Interface, existing map[string]storagev1.StorageClass, wanted *storagev1.StorageClass, do *changes) error {
	classes := client.StorageV1().StorageClasses()
	current, found := existing[wanted.Name]
	switch {
	case !found:
		return do.change("created StorageClass "+wanted.Name, func() error {
			_, err := classes.Create(ctx, wanted, metav1.CreateOptions{})
			return err
		})
	case ptr.Deref(current.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete) != *wanted.ReclaimPolicy:
		// The reclaim policy of a class cannot be changed in place.
		return do.change("replaced StorageClass "+wanted.Name, func() error {
			if err := classes.Delete(ctx, wanted.Name, metav1.DeleteOptions{}); err != nil {
				return err
			}
			_, err := classes.Create(ctx, wanted, metav1.CreateOptions{})
			return err
		})
	case current.Annotations[defaultClassLabel] != wanted.Annotations[defaultClassLabel]:
		return do.change("updated StorageClass "+wanted.Name, func() error {
			current.Annotations = wanted.Annotations
			_, err := classes.Update(ctx, &current, metav1.UpdateOptions{})
			return err
		})
	}
	return nil
}
